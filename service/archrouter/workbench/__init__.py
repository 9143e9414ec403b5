"""What the commands of the workbench share: they look at policies and at traffic, before and beside serving."""
