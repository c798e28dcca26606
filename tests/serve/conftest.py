"""One server for all tests of the page."""

from collections.abc import Iterator

import pytest
from web_helpers import Server


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    running = Server(tmp_path_factory.mktemp("serve"))
    yield running
    root = running.storage.root
    running.close()
    assert not root.exists()  # nothing of anybody's stays
