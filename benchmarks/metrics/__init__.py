"""Numbers that compare logits, pictures and sets of pictures. NumPy alone, so that all rooms may weigh with it."""
