"""Draws pictures: conditioning, the loop with its graphs, canvases. It knows no engine by name."""
