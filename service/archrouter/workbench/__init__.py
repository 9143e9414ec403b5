"""What the commands about policies share."""
