"""Moving pictures: where each frame starts from the one before, and the loop over frames. It knows no files."""
