"""What comes after the commit: does the cluster follow it, is it healthy there, and what if not.

    spec, verdict       what users write of it; what is said of it
    judge               from what the checks say and the time to a verdict, purely
    verifier            the loop that asks
"""
