"""What the scripts share: interpreters, the tool environment, and running steps.

Standard library only, because it runs before anything could be installed.
"""
