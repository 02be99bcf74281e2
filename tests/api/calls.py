"""The endpoints that take stages, each as one call with one raw value, so that a test can
compare them.
"""

JSON = "application/json"
POSTS = {
    "monte_carlo": ("/api/monte-carlo/simulate", "stage_distribution", 200),
    "strategies": ("/api/portfolio/strategies", "stage_allocation", 201),
    "allocations": ("/api/allocations", "stage_distribution", 200),
}
SHAPES = {
    "list": lambda weights: [
        {"stage": stage, "weight": weight} for stage, weight in weights.items()
    ],
    "object": lambda weights: weights,
}


def post(client, label, weights, shape="object", **more):
    """Send a distribution to a POST endpoint."""
    path, field, _ = POSTS[label]
    return client.post(path, {field: SHAPES[shape](weights), **more}, content_type=JSON)


def senders(client, fund):
    """Return label → a function that sends one raw value to that endpoint."""
    calls = {label: (lambda raw, label=label: post(client, label, {raw: 1})) for label in POSTS}
    calls["companies"] = lambda raw: client.get(f"/api/funds/{fund.pk}/companies", {"stage": raw})
    return calls
