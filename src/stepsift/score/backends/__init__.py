"""Where forward passes are made: in this process, in several, or on a Ray cluster."""
