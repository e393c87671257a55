"""What the engine really ran: operators, precisions, shares of time, peaks of the machine. It draws no picture."""
