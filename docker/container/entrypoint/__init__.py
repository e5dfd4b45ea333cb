"""What runs in a container around the application. `start` draws the flow.

start ─► settings ─► patience (postgres, redis) ─► migrations ─► launch ─► web | worker | beat
"""
