"""The routes that draw: our own, those in the manner of OpenAI's, and the description of both."""
