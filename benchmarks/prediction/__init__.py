"""What drawing will take: of a device, from a manifest; of machines, from times that are known. It measures nothing."""
