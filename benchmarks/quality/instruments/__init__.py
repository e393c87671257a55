"""What looks at pictures in place of a person: judges, LPIPS, CLIP, embedders. It knows no bundle."""
