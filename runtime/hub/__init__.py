"""The Hugging Face hub: what names a place there, how files come and go, what a refusal means; knows no bundle."""
