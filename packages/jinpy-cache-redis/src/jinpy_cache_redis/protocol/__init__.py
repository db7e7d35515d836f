"""The words that drivers, routes and connections exchange: requests, nodes, failures, deadlines."""
