"""Tasks (document D): what a prompt asks for, whether one answer will do, and the plan where it will not."""
