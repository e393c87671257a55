"""Work in pieces, in this process or on the nodes of a Ray cluster; does not know what is drawn or measured."""
