"""One loop asks for the jobs of all triggers."""

import asyncio

import pytest

from hpo_tasks.errors import RefusedError, UnavailableError
from hpo_tasks.flow.job_poller import JobPoller


class Cloud:
    """Answers with how often it was asked; `down`: how many questions it does not answer first, but raises `error`."""

    def __init__(self, down=0, error=UnavailableError):
        self.asked = []
        self.down = down
        self.error = error

    def describe(self, ids):
        self.asked.append(sorted(ids))
        if len(self.asked) <= self.down:
            raise self.error("it is away")
        return {each: {"jobId": each, "asked": len(self.asked)} for each in ids if each != "forgotten"}


def test_a_hundred_triggers_ask_together():
    cloud = Cloud()

    async def scenario():
        poller = JobPoller(cloud.describe, pause_s=0.0)
        return await asyncio.gather(*(poller.next_description(f"job-{number}") for number in range(100)))

    found = asyncio.run(scenario())
    assert [each["jobId"] for each in found] == [f"job-{number}" for number in range(100)]
    assert len(cloud.asked) == 1


def test_the_loop_ends_with_the_last_trigger_and_begins_again_with_the_next():
    cloud = Cloud()

    async def scenario():
        poller = JobPoller(cloud.describe, pause_s=0.0)
        first = await poller.next_description("a")
        await poller._loop
        return first, await poller.next_description("a")

    first, second = asyncio.run(scenario())
    assert (first["asked"], second["asked"]) == (1, 2)


@pytest.mark.parametrize("error", [UnavailableError, RefusedError, RuntimeError])
def test_no_error_fails_a_trigger_or_ends_the_loop(error):
    """A trigger that raises costs its task a try; a loop that has ended would leave all triggers waiting for ever."""
    cloud = Cloud(down=3, error=error)

    async def scenario():
        return await JobPoller(cloud.describe, pause_s=0.001).next_description("a")

    assert asyncio.run(scenario())["asked"] == 4


def test_one_bad_question_keeps_no_answer_from_the_others():
    """Of 150 jobs the first hundred are asked for together; somebody's bad id among them harms those alone."""
    cloud = Cloud(down=1)

    async def scenario():
        poller = JobPoller(cloud.describe, pause_s=0.001)
        asked = [asyncio.create_task(poller.next_description(f"job-{number}")) for number in range(150)]
        done, waiting = await asyncio.wait(asked, return_when=asyncio.FIRST_COMPLETED)
        counts = len(done), len(waiting)
        await asyncio.gather(*asked)
        return counts

    assert asyncio.run(scenario()) == (50, 100)


def test_what_the_cloud_does_not_know_is_said_so():
    async def scenario():
        return await JobPoller(Cloud().describe, pause_s=0.0).next_description("forgotten")

    assert asyncio.run(scenario()) is None


def test_a_cancelled_trigger_is_not_asked_for():
    """Airflow cancels the trigger of a task that was cleared."""
    cloud = Cloud()

    async def scenario():
        poller = JobPoller(cloud.describe, pause_s=0.0)
        gone = asyncio.create_task(poller.next_description("gone"))
        await asyncio.sleep(0)
        gone.cancel()
        return await poller.next_description("here")

    assert asyncio.run(scenario())["jobId"] == "here"
    assert cloud.asked == [["here"]]
