-- Prompts (document A). What a version says never changes; a prompt is its newest version, and the name it has now.
CREATE TABLE prompts (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL,
    version integer NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    -- What has run is kept with the prompt that it ran with.
    deleted_at timestamptz
);

CREATE UNIQUE INDEX prompts_name ON prompts (name) WHERE deleted_at IS NULL;

CREATE TABLE prompt_versions (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    prompt bigint NOT NULL REFERENCES prompts,
    version integer NOT NULL,
    content text NOT NULL,
    variables text[] NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    UNIQUE (prompt, version)
);

CREATE TRIGGER prompt_versions_never_change BEFORE UPDATE OR DELETE ON prompt_versions FOR EACH ROW
    EXECUTE FUNCTION refuse_change('it never changes');

-- Actions (documents A and B): a prompt, the model that answers it, and where its input and output belong.
CREATE TABLE actions (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL,
    description text NOT NULL DEFAULT '',
    input_field text,
    output_field text NOT NULL,
    model text NOT NULL,
    status text NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'inactive')),
    prompt bigint NOT NULL REFERENCES prompts,
    -- Null follows the prompt.
    prompt_version integer,
    temperature double precision NOT NULL,
    max_tokens integer NOT NULL,
    -- What the platform itself uses the action for, if anything.
    purpose text UNIQUE,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    deleted_at timestamptz,
    FOREIGN KEY (prompt, prompt_version) REFERENCES prompt_versions (prompt, version),
    CHECK (purpose IS NULL OR deleted_at IS NULL)
);

CREATE INDEX actions_prompt ON actions (prompt);
CREATE INDEX actions_input ON actions (input_field, updated_at);

-- Executions: entered before the model is asked, ended once. One that runs is kept under a lease by its process.
CREATE TABLE action_runs (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    action bigint NOT NULL REFERENCES actions,
    prompt_version bigint NOT NULL REFERENCES prompt_versions,
    post_id bigint,
    owner text NOT NULL,
    idempotency_key text,
    input_data jsonb NOT NULL,
    -- The prompt as the model was given it.
    input_text text NOT NULL,
    model text NOT NULL,
    status text NOT NULL DEFAULT 'running' CHECK (status IN ('running', 'completed', 'failed')),
    lease_until timestamptz,
    output_data jsonb,
    output_text text NOT NULL DEFAULT '',
    error jsonb,
    tokens_used bigint NOT NULL DEFAULT 0,
    execution_time double precision NOT NULL DEFAULT 0,
    simulated boolean NOT NULL DEFAULT false,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    -- Nothing runs for ever.
    CHECK ((status = 'running') = (lease_until IS NOT NULL)),
    CHECK ((status = 'completed') = (output_data IS NOT NULL)),
    CHECK ((status = 'failed') = (error IS NOT NULL))
);

CREATE UNIQUE INDEX action_runs_idempotency_key ON action_runs (owner, action, idempotency_key)
    WHERE idempotency_key IS NOT NULL;
CREATE INDEX action_runs_newest ON action_runs (action, id);
CREATE INDEX action_runs_leases ON action_runs (lease_until) WHERE status = 'running';

CREATE TRIGGER action_runs_end_once BEFORE UPDATE ON action_runs FOR EACH ROW
    WHEN (OLD.status <> 'running') EXECUTE FUNCTION refuse_change('it has ended');

-- Posts and their sections, which document B's content is generated for.
CREATE TABLE posts (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    title text NOT NULL,
    summary text NOT NULL DEFAULT '',
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE TABLE sections (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    post_id bigint NOT NULL REFERENCES posts ON DELETE CASCADE,
    position bigint NOT NULL,
    title text NOT NULL,
    content text NOT NULL DEFAULT '',
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE INDEX sections_in_order ON sections (post_id, position, id);

-- A new platform starts with the documents' example and the prompts of its content endpoints: ordinary ones, to edit.
CREATE FUNCTION seed_action(
    the_prompt text, the_content text, the_variables text[],
    the_name text, the_description text, the_input text, the_output text, the_tokens integer, the_purpose text
) RETURNS void LANGUAGE sql AS $$
    WITH prompt AS (INSERT INTO prompts (name) VALUES (the_prompt) RETURNING id),
    content AS (
        INSERT INTO prompt_versions (prompt, version, content, variables)
        SELECT id, 1, the_content, the_variables FROM prompt
    )
    INSERT INTO actions
        (name, description, input_field, output_field, model, prompt, temperature, max_tokens, purpose)
    SELECT the_name, the_description, the_input, the_output, 'default', id, 0.7, the_tokens, the_purpose FROM prompt
$$;

SELECT seed_action(
    'Summary Generation',
    'Generate a summary based on the following idea: {idea_seed}',
    ARRAY['idea_seed'],
    'Generate Summary', 'Generate a summary from idea seed', 'idea_seed', 'summary', 1000, NULL
);
SELECT seed_action(
    'Blog Post Idea',
    'Think of a blog post about {topic}. Its style is {style}, and its readers are {audience}.

Give it a title that makes these readers curious, an outline of four to seven headings that lead from one to the next, and five to ten keywords that they would search for.',
    ARRAY['topic', 'style', 'audience'],
    'Generate Idea', 'Generate an idea for a blog post', 'topic', 'idea', 1000, 'generate-idea'
);
SELECT seed_action(
    'Section Expansion',
    'Write out a section of the blog post "{post_title}" in full. The section is called "{section_title}", and this is what there is of it so far:

{content}

Keep every fact that is there and add none that you are not sure of. The tone is {tone}. Then name five to ten keywords for the section, and write a short text that leads readers to it for each of these platforms: {platforms}.',
    ARRAY['post_title', 'section_title', 'content', 'tone', 'platforms'],
    'Expand Section', 'Write out a section of a post', 'content', 'expansion', 2000, 'expand-section'
);
SELECT seed_action(
    'SEO Optimization',
    'Make this blog post easier to find for people who search for: {keywords}.

Title: {post_title}

{summary}

{content}

Suggest three to five better titles of at most 60 characters, a meta description of at most 160 characters, and further keywords that fit what the post says.',
    ARRAY['keywords', 'post_title', 'summary', 'content'],
    'Optimize SEO', 'Suggest how a post is found more easily', 'content', 'suggestions', 1000, 'optimize-seo'
);
SELECT seed_action(
    'Social Media Content',
    'Announce the section "{section_title}" of the blog post "{post_title}" on social media. This is the section:

{content}

Write one post for each of these platforms, in the length and the manner that its users expect: {platforms}.',
    ARRAY['section_title', 'post_title', 'content', 'platforms'],
    'Generate Social', 'Announce a section on social media', 'content', 'social media content', 1000, 'generate-social'
);
DROP FUNCTION seed_action;
