"""What `helped.py` imports."""


def doubled(n: int) -> int:
    return 2 * n
