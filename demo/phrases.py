"""The phrases that teachers put around their steps. They carry no number and no step of the solution."""

OPENINGS = (
    "Let us work through this one step at a time.",
    "Okay, let me think about this problem carefully.",
    "We are going to follow the story from the start to the end.",
    "To answer this question, we go through what happens in order.",
)
REMARKS = (
    "Now we look at the next part of the story.",
    "The next thing that happens changes the number.",
    "Good, that part is done, so let us go on.",
    "We continue with what happens after that.",
    "Here we have to be careful with the numbers.",
)
ASIDES = (
    "It is important to keep track of every change as we go along.",
    "This is a simple step, but it is always worth writing it down.",
    "Remember that each step starts from the result of the step before.",
    "Problems like this one become easy when we take them piece by piece.",
    "We should never lose sight of what the question really asks for.",
    "Working in order helps us to avoid mistakes along the way.",
)
CLOSINGS = (
    "That was the last change, so we have everything that we need.",
    "We have now gone through the whole story from the start to the end.",
    "There is nothing left to do but to give the final answer.",
    "All of the steps fit together, so we can be sure of the result.",
)
CHECKS = (
    "Wait, let me check that:",
    "Wait, is that right? Going back,",
    "Wait, let me make sure:",
)
SLIPS = (
    "Wait, that is not right. Once more:",
    "Wait, I made a mistake. Again:",
)
