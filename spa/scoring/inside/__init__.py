"""All that runs in the sandbox, and nothing else.

In: messages on a channel. Out: answers on the same channel. Of this project it imports nothing but itself.
"""
