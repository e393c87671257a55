"""The machine that figures were measured on, and the memory that processes take there. It knows no model."""
