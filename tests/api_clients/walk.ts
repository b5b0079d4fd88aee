// Use the API with the types of openapi-typescript and openapi-fetch: node walk.js URL TOKEN
import process from "node:process";
import createClient from "openapi-fetch";
import type { components, paths } from "./schema.js";

const [url, token] = process.argv.slice(2);
const client = createClient<paths>({
  baseUrl: `${url}/api/v1`,
  headers: { Authorization: `Bearer ${token}` },
});
const TEXT = "# Kitchen\n\nWe decided to keep the oven.\n";

type Answer<Data> = { data?: Data; error?: unknown; response: Response };
function good<Data>({ data, error, response }: Answer<Data>): Data {
  if (data === undefined) throw new Error(`${response.status}: ${JSON.stringify(error)}`);
  return data;
}
function check(truth: boolean, what: string): asserts truth {
  if (!truth) throw new Error(what);
}

const refused = await client.POST("/projects", { body: { name: "" } });
check(refused.error?.errors?.[0]?.field === "name", "an empty name is refused");

const named = {
  params: { header: { "Idempotency-Key": "k2" } },
  body: { name: "Kitchen" },
};
const project = good(await client.POST("/projects", named));
const again = good(await client.POST("/projects", named));
check(project.id === again.id, "a repetition makes no second project");
const path = { slug: project.slug };

const pasted = good(
  await client.POST("/projects/{slug}/sources", {
    params: { path },
    body: { name: "notes.md", text: TEXT },
  }),
);
const listed = good(await client.GET("/projects/{slug}/sources", { params: { path } }));
check(listed.items[0]?.id === pasted.id, "the source is listed");

let run: components["schemas"]["Run"] = good(
  await client.POST("/projects/{slug}/runs", {
    params: { path },
    body: { line: "brief", sources: [pasted.id] },
  }),
);
const ofRun = { params: { path: { id: run.id } } };
while (run.state === "running") run = good(await client.GET("/runs/{id}", ofRun));
check(run.state === "succeeded", JSON.stringify(run));
const found = await client.GET("/projects/{slug}/runs", {
  params: { path, query: { state: "succeeded" } },
});
check(good(found).items[0]?.id === run.id, "the run is found by its state");
check(good(await client.GET("/runs/{id}/calls", ofRun)).items.length > 0, "it has calls");

const [reference] = run.documents;
check(reference !== undefined, "the run has written a document");
const ofDocument = { params: { path: { id: reference.id } } };
check(good(await client.GET("/documents/{id}", ofDocument)).id === reference.id, "it is there");
const markdown = await client.GET("/documents/{id}/markdown", { ...ofDocument, parseAs: "text" });
check(good(markdown).includes("keep the oven"), "the document as Markdown");

const deleted = await client.DELETE("/runs/{id}", ofRun);
check(deleted.response.status === 204, "the run is deleted");
const gone = await client.GET("/documents/{id}", ofDocument);
check(gone.response.status === 404, "its document too");
const withoutProject = await client.DELETE("/projects/{slug}", { params: { path } });
check(withoutProject.response.status === 204, "the project is deleted");
