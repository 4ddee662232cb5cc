"""`unlost dead`: the commands, the workbench, and redriving as a canary."""
