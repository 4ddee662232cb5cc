"""What can be asked of the API, as data, one file for each group of calls.

The routes are made of it, and the OpenAPI document.
"""
