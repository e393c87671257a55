"""What a bundle will take of a device, told from its manifest. It opens no graph and measures nothing."""
