"""All readers of bytes that others made, by name."""

from tests.support.fuzzing.bundles import BUNDLES
from tests.support.fuzzing.checkpoints import CHECKPOINTS
from tests.support.fuzzing.coreml import CORE_ML
from tests.support.fuzzing.pictures import PICTURES
from tests.support.fuzzing.records import RECORDS
from tests.support.fuzzing.requests import REQUESTS
from tests.support.fuzzing.texts import TEXTS

PARSERS = {**BUNDLES, **CORE_ML, **PICTURES, **RECORDS, **CHECKPOINTS, **REQUESTS, **TEXTS}
