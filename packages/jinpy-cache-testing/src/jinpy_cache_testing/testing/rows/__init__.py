"""The rows of the contract, one module for each part of it."""
