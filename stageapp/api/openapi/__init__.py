"""The API's OpenAPI 3.1 document, generated from the endpoints' own declarations."""
