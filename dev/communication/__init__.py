"""What the processes of a run tell each other: what tools/analysis/communication.py is made of."""
