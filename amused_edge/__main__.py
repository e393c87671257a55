"""`python -m amused_edge` is the command `amused-edge`."""

from amused_edge.cli import main

if __name__ == "__main__":
    main()
