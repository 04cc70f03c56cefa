"""Who may ask, from which page, and what a browser may do with the answers."""

import pytest
from starlette.responses import PlainTextResponse
from starlette.testclient import TestClient

from soloist.server.guards import Guard

LOCAL = "http://127.0.0.1:8000"


def client(**guard):
    return TestClient(Guard(PlainTextResponse("inside"), **guard), base_url=LOCAL, follow_redirects=False)


@pytest.mark.parametrize("host", ["127.0.0.1:8000", "localhost:8000", "[::1]:8000", "localhost"])
def test_names_of_this_machine_are_answered(host):
    assert client().get("/", headers={"Host": host}).text == "inside"


@pytest.mark.parametrize("host", ["evil.example:8000", "127.0.0.1.evil.example", "", "[", "192.168.0.7:8000"])
def test_a_page_whose_name_leads_here_is_refused(host):
    answer = client().get("/", headers={"Host": host})
    assert answer.status_code == 403
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
@pytest.mark.parametrize(
    "origin", ["http://evil.example", "http://127.0.0.1:9000", "null", "https://localhost:8000"]
)
def test_requests_of_other_pages_are_refused(method, origin):
    answer = client().request(method, "/api/jobs", headers={"Origin": origin})
    assert answer.status_code == 403
    assert answer.json()["detail"] == "requests of other pages are refused"
    assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}, 403),
        ({"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "cors"}, 403),
        ({"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}, 200),
        ({"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "cors", "Origin": LOCAL}, 200),
        ({"Sec-Fetch-Site": "none", "Sec-Fetch-Mode": "navigate"}, 200),
    ],
)
def test_links_lead_here_from_anywhere_but_scripts_do_not(headers, status):
    assert client().get("/", headers=headers).status_code == status


def test_a_form_of_another_page_is_refused_though_it_navigates():
    headers = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
    assert client().post("/api/jobs", headers=headers).status_code == 403


def test_a_token_is_needed_once_and_leaves_the_address():
    browser = client(token="secret")
    assert browser.get("/").status_code == 401
    assert browser.get("/?token=wrong").status_code == 401
    answer = browser.get("/?token=secret")
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    assert {"HttpOnly", "SameSite=strict"} <= set(answer.headers["set-cookie"].split("; "))
    assert browser.get("/").text == "inside"


def test_programs_send_the_token_in_a_header_and_any_name_will_do():
    asked = client(token="secret")
    right = {"Authorization": "Bearer secret", "Host": "studio.example"}
    assert asked.get("/api/jobs", headers=right).text == "inside"
    for wrong in ("Bearer secrets", "Bearer", "Basic secret", "Bearer sécret"):
        assert asked.get("/api/jobs", headers={"Authorization": wrong.encode()}).status_code == 401


def test_a_token_in_the_address_opens_the_page_only():
    assert client(token="secret").get("/api/jobs?token=secret").status_code == 401


def test_answers_bind_the_browser():
    headers = client().get("/").headers
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cross-origin-resource-policy"] == "same-origin"
    assert headers["cache-control"] == "no-store"
