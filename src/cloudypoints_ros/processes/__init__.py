"""Child processes of the commands: started, talked to, and stopped for certain."""
