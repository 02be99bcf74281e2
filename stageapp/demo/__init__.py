"""The demo: the whole product on one machine, with generated data."""
