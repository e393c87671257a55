"""What is measured: bundles as things that draw, their settings and prompts. It weighs nothing itself."""
