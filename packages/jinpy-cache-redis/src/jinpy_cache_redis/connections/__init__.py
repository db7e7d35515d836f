"""Connections to one server, blocking and asynchronous, and the pools that lend them."""
