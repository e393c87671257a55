"""The machine below: cache folder, files written whole, the CPU, the C library's memory."""
