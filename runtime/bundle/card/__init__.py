"""The model card, README.md beside the manifest and made from it alone; knows no hub and no library of its."""
