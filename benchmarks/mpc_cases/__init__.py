"""Cases of the suite `mpc`: closed loops on the boiler, and what happens when things fail."""
