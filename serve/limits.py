"""What the server takes from strangers, at most: of one request, and how many of them. A body is read before its place
in the line is known, so what all may take together is much.
"""

BODY = 32 * 2**20
"""Bytes of a request's body: two pictures of a phone's camera, as base64."""

BODY_SECONDS = 120.0
"""Until a body must have come."""

PIXELS = 2**24
"""Of a picture that is given, or a canvas around one; less than the command line takes, because several may wait."""

PICTURES = 10
"""Of one request, as in OpenAI's API."""

STEPS = 1000
"""Of one picture."""

PROMPT = 4000
"""Characters of a prompt; the text encoder reads some dozens of words."""

PLACES = 16
"""Requests that wait for a bundle; more are told to come again."""

WAITING_STEPS = 32
"""Steps that a client has not fetched yet; of more, the oldest are left out."""

CONNECTIONS = 512
"""At once."""
