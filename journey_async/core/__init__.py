"""The pure core: graphs, conditions, the state of an execution, and what it does next.

Nothing here does I/O, reads a clock, draws a random number, or knows asyncio.
"""
