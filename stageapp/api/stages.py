"""GET /api/stages and POST /api/stages/normalize: the vocabulary, and the meaning of raw values."""

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from stageapp.api.authentication import caller_of
from stageapp.api.distribution import MAX_STAGE_LENGTH
from stageapp.api.endpoint import Endpoint, validated
from stageapp.api.fields import StrictSerializer, TextField
from stageapp.vocabulary import snapshot
from stageapp.vocabulary.suggestions import meaning_document

MAX_VALUES = 1000


class NormalizeRequest(StrictSerializer):
    """The values to look up."""

    values = serializers.ListField(
        child=TextField(max_length=MAX_STAGE_LENGTH, allow_blank=True), max_length=MAX_VALUES
    )


class Stages(Endpoint):
    """The canonical stages."""

    scopes = {"GET": "read"}

    def get(self, request: Request) -> Response:
        """Return the active stages from the earliest to the latest."""
        vocabulary = snapshot.current()
        stages = [{"stage": slug, "label": label} for slug, label in vocabulary.labels.items()]
        return Response({"vocabulary_version": vocabulary.version, "stages": stages})


class Normalize(Endpoint):
    """Look up values without side effects: the same answer in every mode, and not counted."""

    scopes = {"POST": "read"}

    def post(self, request: Request) -> Response:
        """Return stage, reason and suggestions for each value, in order."""
        values = validated(NormalizeRequest(data=request.data))["values"]
        vocabulary, source = snapshot.current(), caller_of(request)
        results = [meaning_document(raw, source, vocabulary) for raw in values]
        return Response({"vocabulary_version": vocabulary.version, "results": results})
