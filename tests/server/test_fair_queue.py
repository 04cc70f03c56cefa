"""The order in which jobs have their turns."""

import threading
from pathlib import Path

from soloist.server.fair_queue import FairQueue
from soloist.server.jobs import Job


def job(client, number):
    return Job(Path(f"{client}{number}"), client=client)


def test_everybodys_first_job_comes_before_anybodys_second():
    queue = FairQueue()
    for number in range(3):
        queue.put(job("a", number))
    queue.put(job("b", 0))
    queue.put(job("c", 0))
    expected = ["a0", "b0", "c0", "a1", "a2"]
    assert queue.order() == expected
    assert [queue.take().id for _ in expected] == expected


def test_who_comes_later_waits_for_one_turn_of_each_and_not_for_all_jobs():
    queue = FairQueue()
    for number in range(1000):
        queue.put(job("many", number))
    assert queue.take().id == "many0"
    queue.put(job("one", 0))
    assert [queue.take().id for _ in range(3)] == ["many1", "one0", "many2"]


def test_a_job_that_is_begun_again_comes_first():
    queue = FairQueue()
    for client in "ab":
        queue.put(job(client, 0))
    again = queue.take()
    queue.put_first(again)
    assert queue.take() is again


def test_a_removed_job_has_no_turn():
    queue = FairQueue()
    jobs = [job("a", 0), job("b", 0)]
    for each in jobs:
        queue.put(each)
    queue.remove(jobs[0])
    queue.remove(job("c", 0))
    assert len(queue) == 1
    assert queue.take() is jobs[1]


def test_whoever_waits_is_let_go_when_the_queue_closes():
    queue, taken = FairQueue(), []
    thread = threading.Thread(target=lambda: taken.append(queue.take()))
    thread.start()
    queue.close()
    thread.join(10)
    assert taken == [None]
