"""What the commands of the policy workbench share."""
