"""What the scripts share: interpreters, a hatch of our own, and running steps side by side.

Standard library only, because it runs before anything could be installed.
"""
