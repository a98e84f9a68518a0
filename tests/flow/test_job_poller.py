"""One loop asks for the jobs of all triggers."""

import asyncio

from hpo_tasks.errors import UnavailableError
from hpo_tasks.flow.job_poller import JobPoller


class Cloud:
    """Answers with how often it was asked; `down`: how many questions it does not answer first."""

    def __init__(self, down=0):
        self.asked = []
        self.down = down

    def describe(self, ids):
        self.asked.append(sorted(ids))
        if len(self.asked) <= self.down:
            raise UnavailableError("it is away")
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


def test_an_outage_fails_no_trigger():
    """A trigger that raises costs its task a try; the job runs on meanwhile."""
    cloud = Cloud(down=3)

    async def scenario():
        return await JobPoller(cloud.describe, pause_s=0.001).next_description("a")

    assert asyncio.run(scenario())["asked"] == 4


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
