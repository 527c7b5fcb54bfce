/* tiny_text.h - English that the tiny vocabularies are learned from, and the chat templates. */
#ifndef OMNI_TINY_TEXT_H
#define OMNI_TINY_TEXT_H

static const char tiny_text[] =
    "The old lighthouse stood at the end of the long stone wall, and every evening the keeper climbed the stairs to "
    "light "
    "the lamp. There were one hundred and twelve stairs. He had counted them so often that he no longer counted; his "
    "feet "
    "knew the number. At the top there was a small round room with a table, a chair, a clock and a book in which he "
    "wrote "
    "down the weather. The wind was from the west. The sea was calm. Two ships went by before midnight.\n"
    "In the morning the sun came up over the hills behind the town, and the light on the water was so bright that the "
    "keeper had to close his eyes. Then he would go down again, make some tea, and sleep until the afternoon. When he "
    "woke "
    "up, he would walk along the beach and look for the things that the tide had left there: a shoe, a piece of rope, "
    "an "
    "empty bottle, once a whole door with its handle still on it. He took the door home and it is now the door of his "
    "garden.\n"
    "People in the town asked him whether he was not lonely out there. He said that a man who has a lamp to look after "
    "is "
    "never alone. Somewhere out on the dark water there is always somebody who can see it, and who knows by it where "
    "he "
    "is. What could be better than that? They did not understand him, but they liked him, and they brought him bread, "
    "cheese and news. The baker's daughter brought him the newspaper every Saturday, and in the winter she brought him "
    "wool, because she thought that the wind must be very cold up there. It was. He made a scarf from it, four metres "
    "long.\n"
    "Programs are a little like that. Each of them does one thing, and does it well; it reads what another has "
    "written, "
    "and writes what another will read. The question is always the same: what comes in, what goes out, and what "
    "happens "
    "when something is wrong? A good program says what it expected, what it found, and where. It does not say more "
    "than "
    "that, and it does not say less. The best programs are the ones that people use for years without thinking about "
    "them, like the stairs of the lighthouse.\n"
    "Why is the sky blue? The light of the sun contains all the colours. When it passes through the air, the blue part "
    "of "
    "the light is scattered in all directions by the molecules, much more than the red part is. So wherever you look, "
    "some "
    "blue light comes from there to your eyes. In the evening the light has a longer way through the air, and what is "
    "left "
    "of it is red. The keeper knew that, too. He had read it in a book, in the small round room, on a night when no "
    "ship "
    "went by at all.\n";

/* Of the default model (SmolLM2-135M-Instruct, Apache-2.0). */
static const char chatml_template[] =
    "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}{{ '<|im_start|>system\n"
    "You are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n"
    "' }}{% endif %}{{'<|im_start|>' + message['role'] + '\n"
    "' + message['content'] + '<|im_end|>' + '\n"
    "'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n"
    "' }}{% endif %}";

static const char llama3_template[] =
    "{% for message in messages %}{% set content = '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n'+ "
    "message['content'] | trim + '<|eot_id|>' %}{% if loop.index0 == 0 %}{% set content = bos_token + content %}{% "
    "endif %}"
    "{{ content }}{% endfor %}{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}"
    "{% endif %}";

static const char llama2_template[] =
    "{{ bos_token }}{% for message in messages %}{% if message['role'] == 'user' %}{{ '[INST] ' + message['content'] + "
    "' [/INST]' }}{% elif message['role'] == 'assistant' %}{{ ' ' + message['content'] + ' ' + eos_token }}{% endif %}"
    "{% endfor %}";

static const char gemma_template[] =
    "{{ bos_token }}{% for message in messages %}{% if message['role'] == 'assistant' %}{% set role = 'model' %}{% "
    "else %}"
    "{% set role = message['role'] %}{% endif %}{{ '<start_of_turn>' + role + '\n' + message['content'] | trim + "
    "'<end_of_turn>\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<start_of_turn>model\n' }}{% endif %}";

#endif
