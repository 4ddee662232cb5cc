"""The API as data, which routes and the OpenAPI document are made of."""
