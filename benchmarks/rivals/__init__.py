"""What a user could run instead of aMUSEd: other text-to-image models beside ours, with random weights;
knows time and memory, not quality.
"""
