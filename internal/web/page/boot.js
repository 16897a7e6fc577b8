// Loads the page. A browser gives up what it loads where an interface of its
// machine comes or goes, as with every container that is started: then once more.
import("./main.js").catch((e) => {
  document.getElementById("main").textContent = `The page could not be loaded (${e.message}). It is tried again.`;
  setTimeout(() => location.reload(), 1000);
});
