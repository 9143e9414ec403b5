"""What the commands about policies share: traffic, its replay under other policies, statistics, edits and pages."""
