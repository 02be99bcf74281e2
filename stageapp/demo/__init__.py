"""The demo: the whole product on one machine, with data made for it."""
